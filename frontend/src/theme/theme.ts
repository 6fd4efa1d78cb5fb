import { createTheme, type MantineColorsTuple } from '@mantine/core'

/** Water. The same ten shades stand in tokens.css, because no <style> element may be made at run time. */
const teal: MantineColorsTuple = [
  '#e8f6f8',
  '#cfebf0',
  '#a3dae3',
  '#72c6d3',
  '#4ab3c3',
  '#2f9fb0',
  '#178799',
  '#0b7285',
  '#095c6c',
  '#074a57',
]

/** Behaviour of all components. What they look like is in tokens.css: the page's CSP blocks Mantine's own variables. */
export const theme = createTheme({
  primaryColor: 'teal',
  primaryShade: { light: 7, dark: 7 },
  colors: { teal },
  defaultRadius: 'md',
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    // Locking the scroll makes a <style> element, which the CSP blocks.
    Modal: { defaultProps: { lockScroll: false } },
    Drawer: { defaultProps: { lockScroll: false } },
    Tooltip: { defaultProps: { openDelay: 300, withArrow: true } },
  },
})
