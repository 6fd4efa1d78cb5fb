/** A setting as the request that the recommender takes. */
import type { Setting } from './settings'

export type Request =
  | { method: 'GET'; query: [string, string][] }
  | { method: 'POST'; body: Record<string, unknown> }

/** What is wrong with a setting, by the field of the form. */
export type FieldErrors = Partial<Record<keyof Setting, string>>

/** Raised for a text that cannot even be sent. */
export class Unsendable extends Error {
  constructor(
    readonly field: keyof Setting,
    message: string,
  ) {
    super(message)
    this.name = 'Unsendable'
  }
}

// A query takes as many excluded items; more go into a body (docs/serving.md).
const MOST_IN_QUERY = 1_000

/** The request of a setting; null when it does not say who asks. Throws Unsendable. */
export function requestOf(setting: Setting): Request | null {
  const excluded = idsOf(setting.exclude)
  if (setting.who === 'user' && !setting.user.trim()) return null
  if (setting.who === 'session') {
    return { method: 'POST', body: { events: eventsOf(setting.events), ...bodyOf(setting, excluded) } }
  }
  if (excluded.length > MOST_IN_QUERY) {
    return { method: 'POST', body: { user_id: setting.user.trim(), ...bodyOf(setting, excluded) } }
  }
  return {
    method: 'GET',
    query: Object.entries({
      user_id: setting.user.trim(),
      ...given(setting),
      ...(excluded.length && { exclude: excluded.join(',') }),
    }),
  }
}

/** Item ids between commas, spaces or line ends. */
export function idsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean)
}

/** The events of a session: a JSON array, one object, or one object a line. Throws Unsendable. */
export function eventsOf(text: string): unknown[] {
  if (!text.trim()) return []
  try {
    const whole = JSON.parse(text)
    return Array.isArray(whole) ? whole : [whole]
  } catch (error) {
    if (/^\s*\[/.test(text)) throw new Unsendable('events', `no JSON: ${(error as Error).message}`)
  }
  return text
    .split('\n')
    .map((line, n) => [line.trim(), n + 1] as const)
    .filter(([line]) => line)
    .map(([line, number]) => {
      try {
        return JSON.parse(line)
      } catch (error) {
        throw new Unsendable('events', `line ${number} is no JSON: ${(error as Error).message}`)
      }
    })
}

/** Where the form shows what the service says of a field: details of a 422, `[{field, message}]`. */
export function fieldErrorsOf(details: unknown): FieldErrors {
  const errors: FieldErrors = {}
  for (const { field, message } of Array.isArray(details) ? details : []) {
    const name = formField(String(field ?? ''))
    if (!name) continue
    const path = String(field).includes('.') ? `${field}: ` : ''
    errors[name] = [errors[name], path + message].filter(Boolean).join('; ')
  }
  return errors
}

const FORM_FIELDS: Record<string, keyof Setting> = {
  user_id: 'user',
  events: 'events',
  k: 'k',
  category: 'category',
  exclude: 'exclude',
  context_item: 'context_item',
  diversity: 'diversity',
  max_per_category: 'max_per_category',
  explain: 'explain',
  timeout_ms: 'timeout_ms',
}

function formField(path: string): keyof Setting | undefined {
  return FORM_FIELDS[path.split('.')[0] as string]
}

const TEXTS = ['category', 'context_item'] as const
const NUMBERS = ['k', 'diversity', 'max_per_category', 'timeout_ms'] as const

/** What of a setting is asked for, as typed. */
function given(setting: Setting): Record<string, string> {
  const said = [...NUMBERS, ...TEXTS]
    .map((name) => [name, setting[name].trim()] as const)
    .filter(([, value]) => value)
  return { ...Object.fromEntries(said), ...(setting.explain && { explain: 'true' }) }
}

function bodyOf(setting: Setting, excluded: string[]): Record<string, unknown> {
  const body: Record<string, unknown> = given(setting)
  for (const name of NUMBERS) {
    // What is no number goes as it is: the service says so, at the field.
    if (name in body && Number.isFinite(Number(body[name]))) body[name] = Number(body[name])
  }
  if (setting.explain) body.explain = true
  if (excluded.length) body.exclude = excluded
  return body
}
