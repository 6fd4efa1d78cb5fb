import { Anchor } from '@mantine/core'
import { Link } from 'wouter'

/** An item's title (its id when it has none), which leads to its features. */
export function ItemName({ itemId, title }: { itemId: string; title?: string | null }) {
  return (
    <Anchor component={Link} href={`/inspect/items/${encodeURIComponent(itemId)}`} inherit c="inherit">
      {title || `Item ${itemId}`}
    </Anchor>
  )
}
