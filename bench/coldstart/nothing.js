// What a process takes that verifies nothing.
console.log(0)
