/** Small pictures of what can be done to an item. */
import type { ReactNode } from 'react'
import type { EventType } from './journey'

function Icon({ children, filled }: { children: ReactNode; filled?: boolean }) {
  return (
    <svg
      viewBox="0 0 16 16"
      width="16"
      height="16"
      fill={filled ? 'currentColor' : 'none'}
      stroke="currentColor"
      strokeWidth="1.4"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  )
}

export function Star({ filled }: { filled: boolean }) {
  return (
    <Icon filled={filled}>
      <path d="m8 1.8 1.9 3.9 4.3.6-3.1 3 .7 4.3L8 11.6l-3.8 2 .7-4.3-3.1-3 4.3-.6Z" />
    </Icon>
  )
}

const click = (
  <Icon>
    <path d="M6 1.5v2M2.4 3l1.4 1.4M1.5 6.5h2M6.5 6.5 14 9.3l-3.4 1.3L9.3 14Z" />
  </Icon>
)
const cart = (
  <Icon>
    <path d="M1.5 2.5h2l1.6 7.5h7l1.4-5.5H4" />
    <circle cx="6" cy="13" r="1" />
    <circle cx="11.3" cy="13" r="1" />
  </Icon>
)
const buy = (
  <Icon>
    <path d="M3 5.5h10l.8 8.5H2.2ZM5.5 7V4.3a2.5 2.5 0 0 1 5 0V7" />
  </Icon>
)

export const ACT_ICONS: Record<EventType, ReactNode> = {
  view: click,
  click,
  add_to_cart: cart,
  remove_from_cart: cart,
  purchase: buy,
  rate: <Star filled />,
}
