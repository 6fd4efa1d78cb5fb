// Called with the first rail before a card of it is clicked: leaves a promise of what came of the click in window.clicked.
// Moments are in ms on the page's clock; a change counts as seen when the second frame after it begins.
(rail) => {
  const order = () => [...rail.querySelectorAll('[data-item]')].map((card) => card.dataset.item).join()
  const painted = () =>
    new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(() => seen(performance.now()))))
  const requests = (since) =>
    performance
      .getEntriesByType('resource')
      .filter(({ name, startTime }) => startTime >= since && name.includes('/api/'))
      .map(({ name, startTime, responseEnd }) => ({ path: new URL(name).pathname, startTime, responseEnd }))

  window.clicked = new Promise((done) => {
    const before = order()
    let event, first
    document.addEventListener('click', ({ timeStamp }) => { event = timeStamp }, { capture: true, once: true })
    const observer = new MutationObserver(async () => {
      if (event === undefined) return
      first ??= painted()
      if (order() === before) return
      observer.disconnect()
      const list = await painted()
      done({ event, first: await first, list, requests: requests(event) })
    })
    observer.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true })
  })
}
