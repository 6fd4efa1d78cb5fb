import { Combobox, Loader, TextInput, useCombobox } from '@mantine/core'
import { useState } from 'react'
import { ApiError } from '@/api/client'
import { useUsers } from '@/api/hooks'
import classes from './UserPicker.module.css'

/** What the services take as an id. */
export const ID = /^[^\s/\p{Cc}]{1,128}$/u

/** As many as are seen without scrolling; typing narrows the choice. */
const OFFERED = 7

/** `gender:M`, `age:25-34` -> `M, 25-34`. */
export function segmentsInWords(segments: readonly string[]): string {
  return segments.map((segment) => segment.slice(segment.indexOf(':') + 1)).join(', ')
}

interface Props {
  label: string
  value: string
  onChange: (userId: string) => void
  description?: string
}

/** A field for a user's id that offers real users; any other id may be typed, Enter takes it. */
export function UserPicker({ label, value, onChange, description }: Props) {
  const [typed, setTyped] = useState<string | null>(null)
  const users = useUsers()
  const box = useCombobox({ onDropdownClose: () => box.resetSelectedOption() })
  const wrong = typed !== null && typed !== '' && !ID.test(typed)
  const offered = (users.data?.users ?? [])
    .filter(({ user_id }) => !typed || user_id.includes(typed.trim()))
    .slice(0, OFFERED)

  function take(userId: string) {
    if (!ID.test(userId)) return
    onChange(userId)
    setTyped(null)
    box.closeDropdown()
  }

  return (
    <Combobox store={box} onOptionSubmit={take} withinPortal position="bottom-start">
      <Combobox.Target>
        <TextInput
          label={label}
          description={description}
          value={typed ?? value}
          onChange={({ currentTarget }) => {
            setTyped(currentTarget.value)
            box.openDropdown()
          }}
          onFocus={({ currentTarget }) => {
            currentTarget.select()
            box.openDropdown()
          }}
          onBlur={() => {
            setTyped(null)
            box.closeDropdown()
          }}
          onKeyDown={({ key }) =>
            key === 'Enter' && typed && box.getSelectedOptionIndex() < 0 && take(typed.trim())
          }
          error={wrong && 'An id has 1 to 128 characters, none of them a space or a slash'}
          rightSection={users.isPending ? <Loader size="xs" /> : <Combobox.Chevron />}
          rightSectionPointerEvents="none"
        />
      </Combobox.Target>
      <Combobox.Dropdown>
        <Combobox.Options aria-label="Real users">
          {offered.map(({ user_id, event_count, segments }) => (
            <Combobox.Option key={user_id} value={user_id} active={user_id === value}>
              <span className={classes.option}>
                <span>
                  {user_id}
                  <span className={classes.segments}>{segmentsInWords(segments)}</span>
                </span>
                <span className={classes.count}>{event_count} acts</span>
              </span>
            </Combobox.Option>
          ))}
          {offered.length === 0 && (
            <Combobox.Empty>
              {users.isPending
                ? 'Looking for users'
                : typed
                  ? 'None of the users drawn. Enter takes this id.'
                  : users.error instanceof ApiError && users.error.forbidden
                    ? 'Only the administrator sees who there is. Type an id.'
                    : 'No users yet'}
            </Combobox.Empty>
          )}
        </Combobox.Options>
      </Combobox.Dropdown>
    </Combobox>
  )
}
