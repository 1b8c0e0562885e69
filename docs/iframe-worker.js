// Browsers allow no workers on pages opened from disk: there the search runs in a hidden frame instead.
if (location.protocol === "file:") {
  const load = (page, address) => new Promise((done, failed) => {
    const script = page.createElement("script")
    Object.assign(script, { src: address, onload: done, onerror: failed, async: false })
    page.documentElement.append(script)
  })
  const said = message => new MessageEvent("message", { data: message })
  window.Worker = class extends EventTarget {
    constructor(address) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.documentElement.append(frame)
      this.inner = frame.contentWindow
      this.inner.postMessage = message => {
        this.dispatchEvent(said(message))
        if (this.onmessage) this.onmessage(said(message))
      }
      const page = frame.contentDocument
      this.inner.importScripts = (...addresses) => Promise.all(addresses.map(one => load(page, one)))
      this.ready = load(page, String(address))
    }
    postMessage(message) { this.ready.then(() => this.inner.dispatchEvent(said(message))) }
    terminate() { this.inner.frameElement.remove() }
  }
}
