import { Button } from '@mantine/core'
import { Component, type ReactNode } from 'react'
import { Empty } from './states'

/** Whether a part of the page's own script is gone: the page was renewed on the server since it was opened. */
export function isRenewed(error: Error): boolean {
  return /dynamically imported module|module script|Unable to preload CSS/i.test(error.message)
}

/** What fails within is told in its place, and leaves everything around it as it is. */
export class Fence extends Component<{ children: ReactNode }, { error: Error | null }> {
  state = { error: null as Error | null }

  static getDerivedStateFromError(error: Error) {
    return { error }
  }

  render() {
    const { error } = this.state
    if (!error) return this.props.children
    const renewed = isRenewed(error)
    return (
      <div role="alert">
        <Empty
          title={renewed ? 'There is a newer version of this page' : 'This part of the page failed'}
          action={
            <Button
              size="xs"
              variant="default"
              onClick={() => (renewed ? window.location.reload() : this.setState({ error: null }))}
            >
              {renewed ? 'Load it' : 'Show it again'}
            </Button>
          }
        >
          {renewed ? 'What you asked for belongs to the version that was here before.' : error.message}
        </Empty>
      </div>
    )
  }
}
