/** Requests as a shell takes them. */
import { quoted } from '@/parts/shell'
import type { Request } from './request'

/** The command that asks the recommender. `base` is its address, without a slash at the end. */
export function curlOf(request: Request, base: string): string {
  if (request.method === 'GET') {
    return `curl -sS ${quoted(`${base}/recommend?${queryString(request.query)}`)}`
  }
  const lines = [
    `curl -sS ${quoted(`${base}/recommend`)}`,
    `-H ${quoted('Content-Type: application/json')}`,
    `-d ${quoted(JSON.stringify(request.body))}`,
  ]
  return lines.join(' \\\n  ')
}

/** A query string with %20 for a blank and commas as they are, as people write them. */
export function queryString(query: [string, string][]): string {
  return query
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value).replaceAll('%2C', ',')}`)
    .join('&')
}
