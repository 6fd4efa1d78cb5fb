import { type Experiment, outcome, rateOf, treatment, type Variant, versusWords } from './words'

const versus = { difference: 0.031, low: 0.006, high: 0.056, p_value: 0.0042, decided: true }

describe('against the control', () => {
  it('waits until enough is known', () => {
    const early = { difference: -0.03, low: -1, high: 1, p_value: 1, decided: false }
    expect(versusWords(early, 'ctr').short).toBe('Too early to tell')
  })

  it('says that nothing is shown, and that looking is free', () => {
    const words = versusWords({ ...versus, low: -0.01, p_value: 0.614, decided: false }, 'ctr')
    expect(words.short).toBe('No difference shown yet')
    expect(words.long).toBe(
      '+3.1 points (95 %: −1.0 points to +5.6 points), p = 0.61. May be looked at any time: looking often costs nothing.',
    )
  })

  it('says what was decided, in both directions', () => {
    expect(versusWords(versus, 'ctr')).toMatchObject({ short: 'Better than control' })
    expect(versusWords(versus, 'ctr').long).toContain('p = 0.004. Decided')
    expect(versusWords({ ...versus, difference: -0.02, low: -0.03, high: -0.01 }, 'ctr').short).toBe(
      'Worse than control',
    )
  })

  it('keeps a decision although the interval has come back over 0', () => {
    expect(versusWords({ ...versus, low: -0.001 }, 'ctr').long).toContain('at an earlier look')
  })

  it('writes NDCG as it is', () => {
    expect(versusWords({ ...versus, p_value: 0.00001 }, 'ndcg').long).toContain(
      '+0.0310 (95 %: +0.0060 to +0.0560), p < 0.001',
    )
  })
})

it('reads a rate with its interval, and none before any list', () => {
  const result = { impressions: 10, ctr: 0.2, ctr_low: 0.1, ctr_high: 0.3 } as never
  expect(rateOf(result, 'ctr')).toEqual({ mean: 0.2, low: 0.1, high: 0.3 })
  expect(rateOf({ impressions: 0, ctr: 0, ctr_low: 0, ctr_high: 1 } as never, 'ctr')).toBeNull()
  expect(rateOf(null, 'ctr')).toBeNull()
})

it('says what a variant does', () => {
  const variant = { model: 'champion', rules: {} } as Variant
  expect(treatment(variant)).toBe('as everybody')
  expect(treatment({ ...variant, rules: { max_per_category: 2 } })).toBe('max per category 2')
  expect(treatment({ ...variant, model: 'challenger' })).toBe('model challenger')
})

describe('the whole experiment', () => {
  const result = (versus_control: unknown, impressions = 10) => ({ impressions, versus_control })
  const control = { name: 'control', result: result(null) }
  const stands = (state: string, ...variants: object[]) =>
    outcome({ state, variants } as unknown as Experiment)

  it('names what is decided, and nothing else', () => {
    const open = { name: 'third', result: result({ ...versus, decided: false }) }
    const lost = { name: 'diverse', result: result({ ...versus, difference: -0.1 }) }
    expect(stands('running', control, lost, open)).toBe('Decided: diverse is worse than the control.')
    expect(stands('running', control, open)).toBe('Nothing is decided yet.')
    expect(stands('ended', control, open)).toBe('It ended without a decision.')
  })

  it('waits for its first lists', () => {
    const none = { name: 'diverse', result: null }
    expect(stands('running', { ...control, result: result(null, 0) }, none)).toBe(
      'It waits for its first lists.',
    )
  })
})
