import type { ReactNode } from 'react'
import { Command } from '@/parts/Command'
import { Empty } from '@/parts/states'
import classes from './control.module.css'

interface Props {
  title: string
  /** A command for a terminal that changes it. */
  command: string
  /** What the command does, as in "Command that trains a model". */
  label: string
  children: ReactNode
}

/** Nothing is here: why, and the command that begins it. */
export function Start({ title, command, label, children }: Props) {
  return (
    <Empty
      title={title}
      action={
        <div className={classes.command}>
          <Command text={command} label={label} />
        </div>
      }
    >
      {children}
    </Empty>
  )
}
