/** Calls with little room on the stack: in each of the last frames before an overflow. Returns the number of exceptions. */
export function callNearTheEnd(call) {
  let left = 150
  let exceptions = 0
  const descend = () => {
    try {
      descend()
    } catch (error) {
      if (left-- > 0) {
        try {
          call()
        } catch {
          exceptions++
        }
      }
      if (left > 0) throw error
    }
  }
  descend()
  return exceptions
}
