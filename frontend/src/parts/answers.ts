/** What kind of answer a list is, in words. */
import type { Fallback } from '@/api/hooks'

export interface Kind {
  /** One or two words for a label. */
  label: string
  /** A sentence: what the list was made from. */
  words: string
  /** Whether it is less than this user could have, because something is away. */
  degraded: boolean
}

const KINDS: Record<Fallback, Omit<Kind, 'degraded'>> = {
  last_known: {
    label: 'Last known',
    words:
      'made from the features that the recommender read last, because the feature store (Redis) gives no answer in time',
  },
  profile: {
    label: 'From profile',
    words: 'made by the model from the profile alone, because there are no events yet',
  },
  segment: {
    label: 'Like your segment',
    words: 'what people of the same segments choose, because the model knows nothing more of this user',
  },
  popular: { label: 'Popular', words: 'what many like, because nothing is known of this user yet' },
  static: { label: 'Catalogue', words: 'the catalogue in its own order, because no act was ever counted' },
}

const POPULAR_DESPITE_ALL =
  'what many like, although this user is known: the user’s features could not be read in time'

/**
 * What a list's `fallback` means.
 *
 * @param known whether the user has acted before: then anything but a personal answer is less than it should be.
 */
export function kindOf(fallback: Fallback | null, known: boolean): Kind {
  if (fallback === null) {
    return { label: 'Personal', words: 'made by the model from this user’s own acts', degraded: false }
  }
  const degraded = fallback === 'last_known' || (known && (fallback === 'popular' || fallback === 'static'))
  const words = fallback === 'popular' && known ? POPULAR_DESPITE_ALL : KINDS[fallback].words
  return { label: KINDS[fallback].label, words, degraded }
}

/** Where an item of a list came from, in words. */
export const SOURCES: Record<string, string> = {
  retriever: 'your taste now',
  item_to_item: 'taken together',
  long_term: 'your lasting taste',
  content: 'alike in kind',
  trending: 'rising',
  popular: 'popular',
  segment: 'your segment',
  new: 'new',
  static: 'catalogue',
}
