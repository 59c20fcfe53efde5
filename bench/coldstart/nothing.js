// Verifies nothing: the time that a process, a Worker or a page takes anyway.
export async function verdict() {}
