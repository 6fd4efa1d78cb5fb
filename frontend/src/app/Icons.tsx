/** The few pictures of the shell, drawn with the text's colour. */
import type { ReactNode } from 'react'

function Icon({ children, size = 20 }: { children: ReactNode; size?: number }) {
  return (
    <svg
      viewBox="0 0 20 20"
      width={size}
      height={size}
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  )
}

/** By a view's path. */
export const VIEW_ICONS: Record<string, ReactNode> = {
  '/': (
    <Icon>
      <path d="M2 10s3-5.5 8-5.5S18 10 18 10s-3 5.5-8 5.5S2 10 2 10Z" />
      <circle cx="10" cy="10" r="2.3" />
    </Icon>
  ),
  '/inspect': (
    <Icon>
      <circle cx="9" cy="9" r="5.5" />
      <path d="m13.2 13.2 4 4" />
    </Icon>
  ),
  '/control': (
    <Icon>
      <path d="M2 11h3.5l2-6 4 10 2.2-6 1 2H18" />
    </Icon>
  ),
  '/playground': (
    <Icon>
      <path d="M4 6h7M15 6h1M4 14h1M9 14h7" />
      <circle cx="13" cy="6" r="2" />
      <circle cx="7" cy="14" r="2" />
    </Icon>
  ),
}

/** By a colour scheme's name. */
export const SCHEME_ICONS: Record<string, ReactNode> = {
  auto: (
    <Icon size={18}>
      <circle cx="10" cy="10" r="7" />
      <path d="M10 3a7 7 0 0 1 0 14Z" fill="currentColor" />
    </Icon>
  ),
  light: (
    <Icon size={18}>
      <circle cx="10" cy="10" r="3.4" />
      <path d="M10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.4 4.4l1 1M14.6 14.6l1 1M4.4 15.6l1-1M14.6 5.4l1-1" />
    </Icon>
  ),
  dark: (
    <Icon size={18}>
      <path d="M16.5 11.8A7 7 0 0 1 8.2 3.5a7 7 0 1 0 8.3 8.3Z" />
    </Icon>
  ),
}

/** The mark: two waves. */
export function Mark() {
  return <img src="/mark.svg" width="28" height="28" alt="" />
}
