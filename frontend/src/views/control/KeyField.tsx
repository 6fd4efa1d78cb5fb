import { PasswordInput } from '@mantine/core'
import { useDebouncedCallback } from '@mantine/hooks'
import { useState } from 'react'
import { adminKey, useKey } from '@/api/key'
import classes from './control.module.css'
import { useConsole } from './queries'

/** While somebody still types, the services are not asked about half a key. */
const TYPED_MS = 300

export const KEY_FIELD = 'admin-key'

/** Where the administrator types the key; nothing where no key would open anything. */
export function KeyField() {
  const { key } = useKey()
  const [typed, setTyped] = useState('')
  const take = useDebouncedCallback(adminKey.set, TYPED_MS)
  const { data: config, isPlaceholderData: isAsking } = useConsole()
  if (config?.key !== 'needed') return null
  const isKnown = typed === key && !isAsking
  const words = config.may_administer
    ? 'This key may promote and roll back.'
    : 'FRESHET_ADMIN_KEY. Kept in memory until the page is left.'
  return (
    // Without `value`: React would write it into the document, as an attribute.
    <PasswordInput
      id={KEY_FIELD}
      className={classes.key}
      label="Admin key"
      description={words}
      autoComplete="off"
      error={typed !== '' && isKnown && !config.may_administer && 'Not the right key'}
      onChange={({ currentTarget }) => {
        setTyped(currentTarget.value)
        take(currentTarget.value)
      }}
      inputWrapperOrder={['label', 'input', 'description', 'error']}
      visibilityToggleButtonProps={{ 'aria-label': 'Show or hide what was typed' }}
    />
  )
}
