import type { ReactNode } from 'react'
import { Fence } from '@/parts/Fence'
import { Panel } from '@/parts/Panel'

interface Props {
  title: string
  lead: ReactNode
  children: ReactNode
}

/** One part of the control room; whatever fails within leaves the other parts as they are. */
export function Section({ title, lead, children }: Props) {
  return (
    <Panel title={title} lead={lead}>
      <Fence>{children}</Fence>
    </Panel>
  )
}
