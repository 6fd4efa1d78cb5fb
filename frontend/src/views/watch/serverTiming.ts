/**
 * Durations of a `Server-Timing` header (W3C Server Timing) in ms, by name; entries without one are left out.
 *
 * `check;dur=0.21, log;dur=1.93` -> `{check: 0.21, log: 1.93}`
 */
export function serverTiming(header: string | null): Record<string, number> {
  const found: Record<string, number> = {}
  for (const entry of (header ?? '').split(',')) {
    const [name, ...parameters] = entry.split(';').map((part) => part.trim())
    const duration = parameters.find((parameter) => /^dur\s*=/i.test(parameter))
    const value = Number(duration?.slice(duration.indexOf('=') + 1).replaceAll('"', ''))
    if (name && duration && Number.isFinite(value)) found[name] = value
  }
  return found
}
