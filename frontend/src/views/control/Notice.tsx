import { CloseButton } from '@mantine/core'
import type { ReactNode } from 'react'
import classes from './control.module.css'

interface Props {
  tone: 'good' | 'watch' | 'bad'
  title: string
  children: ReactNode
  /** Given where it may be put away. */
  onClose?: () => void
}

/** Something that should not be overlooked; announced as soon as it appears. */
export function Notice({ tone, title, children, onClose }: Props) {
  return (
    <div className={classes.notice} data-tone={tone} role="status">
      <div>
        <strong>{title}</strong>
        <div>{children}</div>
      </div>
      {onClose && <CloseButton size="sm" aria-label="Close" onClick={onClose} />}
    </div>
  )
}
