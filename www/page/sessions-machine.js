// The machine that the tabs of the page Sessions pretend to run on: its clocks and its network.

/**
 * Replaces the clocks, `navigator.onLine` and `fetch` of this frame.
 *
 * @param {typeof fetch} realFetch
 * @returns {{ fetch: typeof fetch, set: (machine: Machine) => void }} `set` shows the session a machine, and wakes it
 *
 * @typedef {object} Machine
 * @property {number} wall the milliseconds that the system's clock is ahead
 * @property {number} steady the milliseconds that the steady clock is ahead: it stops while a machine sleeps
 * @property {boolean} online
 */
export function pretendMachine(realFetch) {
  let machine = { wall: 0, steady: 0, online: true }
  const [wall, steady] = [Date.now.bind(Date), performance.now.bind(performance)]
  Date.now = () => wall() + machine.wall
  performance.now = () => steady() + machine.steady
  Object.defineProperty(navigator, 'onLine', { configurable: true, get: () => machine.online })
  return {
    fetch: (...request) => (machine.online ? realFetch(...request) : Promise.reject(new TypeError('the machine is offline'))),
    set(next) {
      const wasOnline = machine.online
      machine = next
      if (next.online !== wasOnline) dispatchEvent(new Event(next.online ? 'online' : 'offline'))
      // A browser says so to a page that was suspended, or whose machine has slept.
      document.dispatchEvent(new Event('resume'))
    },
  }
}

/** Calls the listener for each message that this frame sends to other tabs or gets from them by a `BroadcastChannel`. */
export function watchChannels(listener) {
  const Real = globalThis.BroadcastChannel
  globalThis.BroadcastChannel = class extends Real {
    constructor(name) {
      super(name)
      this.addEventListener('message', ({ data }) => listener('received', data))
    }

    postMessage(message) {
      listener('sent', message)
      super.postMessage(message)
    }
  }
}
