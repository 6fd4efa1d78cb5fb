import { feature, report } from './samples'
import { bars, trainingWords } from './words'

it('orders features by how far they are past their own threshold, those that do not count last', () => {
  const found = bars({
    near: feature({ distance: 0.1, threshold: 0.2 }),
    far: feature({ distance: 0.5, threshold: 0.25, drifted: true }),
    // A larger distance, but within its threshold.
    wide: feature({ distance: 0.6, threshold: 0.8 }),
    age: feature({ distance: 9, threshold: 0.1, drifted: true, counts: false }),
    unknown: feature({ distance: null, threshold: null }),
  })
  expect(found.map((bar) => bar.name)).toEqual(['far', 'wide', 'near', 'unknown', 'age'])
  expect(found.map((bar) => bar.times)).toEqual([2, expect.closeTo(0.75), 0.5, null, expect.closeTo(90)])
})

it('says what came of it', () => {
  expect(trainingWords(report({ training: 'neat-owl' }))).toContain('neat-owl')
  expect(trainingWords(report({ training: 'here' }))).toContain('same process')
  expect(trainingWords(report({ verdict: 'bad data' }))).toBe('Nothing was trained.')
  expect(trainingWords(report())).toContain('No training')
})
