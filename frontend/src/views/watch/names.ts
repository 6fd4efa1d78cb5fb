/** How an item is called on a card. */

/** The title without the year that it ends with, when that is the year of publication: the card shows it beside. */
export function shortTitle(title: string, published: string | null | undefined): string {
  const year = published?.slice(0, 4)
  return year && title.endsWith(` (${year})`) ? title.slice(0, -(year.length + 3)) : title
}

/** `1977 · Action, Adventure`: year and the first two categories, whatever of them is known. */
export function byline(published: string | null | undefined, categories: readonly string[]): string {
  const parts = [published?.slice(0, 4), categories.slice(0, 2).join(', ')]
  return parts.filter(Boolean).join(' · ')
}
