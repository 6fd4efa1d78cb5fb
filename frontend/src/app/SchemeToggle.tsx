import { ActionIcon, type MantineColorScheme, Tooltip, useMantineColorScheme } from '@mantine/core'
import { SCHEME_ICONS } from './Icons'

const NEXT: Record<MantineColorScheme, MantineColorScheme> = { auto: 'light', light: 'dark', dark: 'auto' }
const WORDS: Record<MantineColorScheme, string> = { auto: 'as the system', light: 'light', dark: 'dark' }

/** Goes round the colour schemes: as the system, light, dark. */
export function SchemeToggle() {
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  const next = NEXT[colorScheme]
  return (
    <Tooltip label={`Colours: ${WORDS[colorScheme]}`}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="lg"
        onClick={() => setColorScheme(next)}
        aria-label={`Colours: ${WORDS[colorScheme]}. Change to ${WORDS[next]}`}
      >
        {SCHEME_ICONS[colorScheme]}
      </ActionIcon>
    </Tooltip>
  )
}
