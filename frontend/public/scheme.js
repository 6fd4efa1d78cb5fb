// Before the first paint: the colour scheme that Mantine will want, so that nothing flashes.
{
  const kept = window.localStorage.getItem('mantine-color-scheme-value') ?? 'auto'
  const dark =
    kept === 'dark' || (kept === 'auto' && window.matchMedia('(prefers-color-scheme: dark)').matches)
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light')
}
