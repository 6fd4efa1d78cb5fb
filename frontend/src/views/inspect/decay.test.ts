import { countAt, curves, type Memory, SPANS, spanFor, weightAfter } from './decay'

const HOUR = 3_600_000
const T0 = 1_800_000_000_000

describe('weightAfter', () => {
  it('halves with every half-life', () => {
    expect(weightAfter(0, 3_600)).toBe(1)
    expect(weightAfter(HOUR, 3_600)).toBe(0.5)
    expect(weightAfter(3 * HOUR, 3_600)).toBe(0.125)
    expect(weightAfter(12 * HOUR, 86_400)).toBeCloseTo(Math.SQRT1_2, 12)
  })

  it('never grows: a clock that is behind changes nothing', () => {
    expect(weightAfter(-HOUR, 3_600)).toBe(1)
  })
})

describe('countAt', () => {
  // Two clicks, two hours apart, half-life one hour: as of the second 1 + 1/4.
  const both: Memory = {
    asOfMs: T0,
    timesMs: [T0 - 2 * HOUR, T0],
    completeFromMs: Number.NEGATIVE_INFINITY,
    forgotten: 0,
  }

  it('carries the stored count on after the newest event', () => {
    expect(countAt(T0, 1.25, 3_600, both)).toBe(1.25)
    expect(countAt(T0 + HOUR, 1.25, 3_600, both)).toBe(0.625)
    expect(countAt(T0 + 2 * HOUR, 1.25, 3_600, both)).toBe(0.3125)
  })

  it('counts the remembered events before it', () => {
    expect(countAt(T0 - 1, 1.25, 3_600, both)).toBeCloseTo(0.25, 6)
    expect(countAt(T0 - HOUR, 1.25, 3_600, both)).toBe(0.5)
    expect(countAt(T0 - 2 * HOUR, 1.25, 3_600, both)).toBe(1)
    expect(countAt(T0 - 2 * HOUR - 1, 1.25, 3_600, both)).toBe(0)
  })

  it('knows the rest of what the row has forgotten from the stored count, back to the oldest that it keeps', () => {
    // A third click four hours before the newest is forgotten: 1 + 1/4 + 1/16 are stored.
    const cut: Memory = {
      asOfMs: T0,
      timesMs: [T0 - 2 * HOUR, T0],
      completeFromMs: T0 - 2 * HOUR,
      forgotten: 1,
    }
    expect(countAt(T0 - HOUR, 1.3125, 3_600, cut)).toBe(0.5 + 0.125)
    expect(countAt(T0 - 2 * HOUR, 1.3125, 3_600, cut)).toBe(1 + 0.25)
    expect(countAt(T0 - 2 * HOUR - 1, 1.3125, 3_600, cut)).toBeNull()
  })

  it('does not draw noise: too many half-lives back the stored count tells nothing', () => {
    const old: Memory = { asOfMs: T0, timesMs: [], completeFromMs: T0 - 17 * HOUR, forgotten: 9 }
    expect(countAt(T0 - 14 * HOUR, 1, 3_600, old)).toBe(2 ** 14)
    expect(countAt(T0 - 15 * HOUR, 1, 3_600, old)).toBeNull()
    expect(countAt(T0 - 15 * HOUR, 1, 86_400, old)).not.toBeNull()
  })

  it('needs no rest once all that is forgotten has faded', () => {
    // 8 forgotten events weigh at most 8 * 2^-20 twenty hours on, less than a hundredth of one.
    const long: Memory = { asOfMs: T0, timesMs: [T0], completeFromMs: T0 - 40 * HOUR, forgotten: 8 }
    expect(countAt(T0 - 20 * HOUR, 1, 3_600, long)).toBe(0)
    expect(countAt(T0 - 38 * HOUR, 1, 3_600, long)).toBeNull()
  })

  it('tells only the time since the newest event of a row that keeps no events', () => {
    const item: Memory = { asOfMs: T0, timesMs: [], completeFromMs: T0, forgotten: 9 }
    expect(countAt(T0 - 1, 3, 3_600, item)).toBeNull()
    expect(countAt(T0 + HOUR, 3, 3_600, item)).toBe(1.5)
  })
})

describe('curves', () => {
  const memory: Memory = {
    asOfMs: T0,
    timesMs: [T0 - HOUR, T0],
    completeFromMs: Number.NEGATIVE_INFINITY,
    forgotten: 0,
  }
  const points = curves(
    { '1h': 1.5, '1d': 1.97 },
    { '1h': 3_600, '1d': 86_400 },
    memory,
    T0 - 2 * HOUR,
    T0 + HOUR,
  )

  it('goes from end to end in order', () => {
    expect(points[0]?.at).toBe(T0 - 2 * HOUR)
    expect(points[points.length - 1]?.at).toBe(T0 + HOUR)
    expect(points.every((point, n) => n === 0 || point.at > (points[n - 1]?.at ?? 0))).toBe(true)
  })

  it('jumps by one at an event', () => {
    for (const timeMs of memory.timesMs) {
      const before = points.find((point) => point.at === timeMs - 1)
      const after = points.find((point) => point.at === timeMs)
      expect((after?.['1h'] ?? 0) - (before?.['1h'] ?? 0)).toBeCloseTo(1, 5)
    }
  })

  it('holds every half-life', () => {
    expect(points[points.length - 1]).toEqual({
      at: T0 + HOUR,
      '1h': 0.75,
      '1d': 1.97 * 2 ** (-1 / 24),
    })
  })
})

describe('spanFor', () => {
  it('takes the shortest that shows the newest event', () => {
    expect(spanFor(60_000).name).toBe('1 h')
    expect(spanFor(2 * HOUR).name).toBe('1 day')
    expect(spanFor(50 * 24 * HOUR).name).toBe('2 months')
    expect(spanFor(5_000 * 24 * HOUR)).toBe(SPANS[SPANS.length - 1])
  })
})
