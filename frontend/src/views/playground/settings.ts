/** What is asked of the recommender, as a person types it; the address keeps it, so that a link asks the same. */

/** Texts are kept as typed, numbers too: what is wrong with them the service says. Empty: not asked for. */
export interface Setting {
  who: 'user' | 'session'
  user: string
  /** Events of an anonymous session: a JSON array, or one object a line. */
  events: string
  k: string
  category: string
  /** Item ids between commas or spaces. */
  exclude: string
  context_item: string
  /** Empty: left to the service. */
  diversity: string
  max_per_category: string
  explain: boolean
  timeout_ms: string
}

export type Side = 'a' | 'b'
export type Both = Record<Side, Setting>

export const PLAIN: Setting = {
  who: 'user',
  user: '',
  events: '',
  k: '10',
  category: '',
  exclude: '',
  context_item: '',
  diversity: '',
  max_per_category: '',
  explain: false,
  timeout_ms: '',
}

const NAMES = Object.keys(PLAIN) as (keyof Setting)[]

/** Both settings as a query string, without what is as in PLAIN; empty when all is. */
export function queryOf(both: Both): string {
  const query = new URLSearchParams()
  for (const side of ['a', 'b'] as const) {
    for (const name of NAMES) {
      const value = both[side][name]
      if (value !== PLAIN[name]) query.set(`${side}.${name}`, value === true ? '1' : String(value))
    }
  }
  return query.toString()
}

/** The settings of a query string; what it does not name, or names wrongly, is as in PLAIN. */
export function settingsOf(query: string): Both {
  const params = new URLSearchParams(query)
  return { a: sideOf(params, 'a'), b: sideOf(params, 'b') }
}

function sideOf(params: URLSearchParams, side: Side): Setting {
  const text = (name: keyof Setting) => params.get(`${side}.${name}`) ?? String(PLAIN[name])
  return {
    who: text('who') === 'session' ? 'session' : 'user',
    user: text('user'),
    events: text('events'),
    k: text('k'),
    category: text('category'),
    exclude: text('exclude'),
    context_item: text('context_item'),
    diversity: text('diversity'),
    max_per_category: text('max_per_category'),
    explain: params.get(`${side}.explain`) === '1',
    timeout_ms: text('timeout_ms'),
  }
}

/** The names of what two settings differ in. */
export function differing(both: Both): (keyof Setting)[] {
  return NAMES.filter((name) => both.a[name] !== both.b[name])
}
