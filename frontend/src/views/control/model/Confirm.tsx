import { Button, Group, List, Modal, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import shared from '../control.module.css'

interface Props {
  opened: boolean
  title: string
  steps: string[]
  yes: string
  color?: string
  onYes: () => void
  onNo: () => void
  children?: ReactNode
}

/** Asks before an act, and says what it will do. */
export function Confirm({ opened, title, steps, yes, color, onYes, onNo, children }: Props) {
  return (
    <Modal opened={opened} onClose={onNo} title={title} centered closeButtonProps={{ 'aria-label': 'Close' }}>
      <div className={shared.stack}>
        {children}
        <div>
          <Text size="sm" fw={600} mb="xs">
            What will happen
          </Text>
          <List type="ordered" size="sm" spacing={6}>
            {steps.map((step) => (
              <List.Item key={step}>{step}</List.Item>
            ))}
          </List>
        </div>
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={onNo}>
            Cancel
          </Button>
          <Button color={color} onClick={onYes}>
            {yes}
          </Button>
        </Group>
      </div>
    </Modal>
  )
}
