/** The way of an act through the system, as the page learns of it. Pure: happenings in, journeys out. Times in ms. */

export type EventType = 'view' | 'click' | 'add_to_cart' | 'remove_from_cart' | 'purchase' | 'rate'

export interface Act {
  userId: string
  itemId: string
  title: string
  type: EventType
  /** Stars of a rating, 1 to 5. */
  value?: number
  /** The list that the person acted on. */
  recommendationId?: string
}

export const STEPS = ['accepted', 'logged', 'written', 'answered'] as const
export type Step = (typeof STEPS)[number]

/** What the last step came to. */
export type Outcome = 'personal' | 'changed' | 'same'

export interface Journey {
  id: number
  act: Act
  /** Since the act, by the browser's clock; absent: not yet. */
  at: Partial<Record<Step, number>>
  outcome: Outcome | null
  /** Why it ends before the last step; null: it does not. */
  trouble: string | null
}

export type Happening =
  | { type: 'begun'; id: number; act: Act }
  /** The 201 came `at`; `logMs` of that were the broker's, if the service told. */
  | { type: 'taken'; id: number; at: number; logMs?: number }
  | { type: 'written'; id: number; at: number }
  | { type: 'answered'; id: number; at: number; outcome: Outcome }
  | { type: 'failed'; id: number; words: string }

const KEPT = 20

/** Journeys after a happening, the newest first, at most KEPT. What happens to a journey that has ended or left is nothing. */
export function travelled(journeys: readonly Journey[], happening: Happening): readonly Journey[] {
  if (happening.type === 'begun') {
    const begun: Journey = { id: happening.id, act: happening.act, at: {}, outcome: null, trouble: null }
    return [begun, ...journeys].slice(0, KEPT)
  }
  return journeys.map((journey) =>
    journey.id === happening.id && !ended(journey) ? advanced(journey, happening) : journey,
  )
}

function advanced(journey: Journey, happening: Exclude<Happening, { type: 'begun' }>): Journey {
  switch (happening.type) {
    case 'taken': {
      // The answer's way back takes time too: the row can be known to be written before the 201 is here.
      const logged = Math.min(happening.at, journey.at.written ?? happening.at)
      const accepted = Math.max(0, logged - (happening.logMs ?? 0))
      return { ...journey, at: { ...journey.at, accepted, logged } }
    }
    case 'written':
      return { ...journey, at: { ...journey.at, written: Math.max(happening.at, journey.at.logged ?? 0) } }
    case 'answered':
      return { ...journey, at: { ...journey.at, answered: happening.at }, outcome: happening.outcome }
    case 'failed':
      return { ...journey, trouble: happening.words }
  }
}

/** Whether nothing more will happen to it. */
export function ended(journey: Journey): boolean {
  return journey.trouble !== null || journey.at.answered !== undefined
}

export type StepState = 'done' | 'going' | 'waiting' | 'failed'

/** How a step stands: the first that is not done goes on, unless the journey has ended there. */
export function stepState(journey: Journey, step: Step): StepState {
  if (journey.at[step] !== undefined) return 'done'
  if (STEPS.find((each) => journey.at[each] === undefined) !== step) return 'waiting'
  return journey.trouble === null ? 'going' : 'failed'
}

/** How long a step took by itself; null while that is not known, or when the service did not tell two steps apart. */
export function ownTime(journey: Journey, step: Step): number | null {
  const at = journey.at[step]
  if (at === undefined) return null
  const before = STEPS[STEPS.indexOf(step) - 1]
  if (!before) return at
  const took = Math.max(0, at - (journey.at[before] ?? 0))
  return step === 'logged' && took === 0 ? null : took
}

/** Totals of the journeys that reached their end, the oldest first. */
export function totals(journeys: readonly Journey[]): number[] {
  return journeys.flatMap(({ at }) => (at.answered === undefined ? [] : [at.answered])).reverse()
}

/** What an answer came to, beside the one before it. */
export function outcomeOf(
  before: { fallback: string | null; ids: readonly string[] } | null,
  after: { fallback: string | null; ids: readonly string[] },
): Outcome {
  if (before && before.fallback !== null && after.fallback === null) return 'personal'
  return before && before.ids.join('\n') === after.ids.join('\n') ? 'same' : 'changed'
}

/** What was done, in words: `Rated Heat 4 of 5`. */
export function actInWords({ type, title, value }: Act): string {
  const words: Record<EventType, string> = {
    view: `Looked at ${title}`,
    click: `Clicked ${title}`,
    add_to_cart: `Put ${title} in the cart`,
    remove_from_cart: `Took ${title} out of the cart`,
    purchase: `Bought ${title}`,
    rate: `Rated ${title} ${value ?? '?'} of 5`,
  }
  return words[type]
}

/** What has been done to each item, from what did not fail. */
export function deeds(journeys: readonly Journey[]): Map<string, { types: Set<EventType>; rating?: number }> {
  const done = new Map<string, { types: Set<EventType>; rating?: number }>()
  for (const { act, trouble } of [...journeys].reverse()) {
    if (trouble !== null) continue
    const deed = done.get(act.itemId) ?? { types: new Set() }
    deed.types.add(act.type)
    if (act.type === 'rate') deed.rating = act.value
    done.set(act.itemId, deed)
  }
  return done
}
