/**
 * When an answer was here, whatever the page was busy with at that moment.
 *
 * A promise is told when the main thread is free, which may be a frame or several later. The browser's own record of the
 * request (Resource Timing) knows the moment itself.
 */

// The browser keeps some 250 records and then no more: a page that stays open makes room.
performance.addEventListener?.('resourcetimingbufferfull', () => performance.clearResourceTimings())

/**
 * The moment at which the last answer from an address had arrived, in ms on the clock of `performance.now()`.
 *
 * @param url as it was requested.
 * @param since no earlier request is meant.
 * @returns now, where the browser has no record.
 */
export function arrival(url: string, since: number): number {
  const record = performance.getEntriesByName?.(url, 'resource').at(-1) as
    | PerformanceResourceTiming
    | undefined
  return record && record.startTime >= since && record.responseEnd > 0
    ? record.responseEnd
    : performance.now()
}
