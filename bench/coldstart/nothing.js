// A process that verifies nothing, for comparison.
console.log(0)
