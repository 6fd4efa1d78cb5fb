import { spawnSync } from 'node:child_process'
import { quoted } from '@/parts/shell'
import { curlOf, queryString } from './curl'

/** The words that a real shell makes of a command. */
function words(command: string): string[] {
  const shown = spawnSync('sh', ['-c', `curl() { printf '%s\\0' "$@"; }; ${command}`], { encoding: 'utf8' })
  return shown.stdout.split('\0').slice(0, -1)
}

describe('quoted', () => {
  it('leaves plain words alone', () => {
    expect(quoted('http://127.0.0.1:8001/recommend')).toBe('http://127.0.0.1:8001/recommend')
  })

  it('wraps what a shell would change', () => {
    expect(quoted('a b')).toBe("'a b'")
    expect(quoted("it's")).toBe(`'it'\\''s'`)
    expect(quoted('')).toBe("''")
  })

  it('survives a real shell', () => {
    for (const word of ['a&b?c=*', '$HOME `id` $(id)', `"'\\'"`, 'line\nline', '!!', 'ä']) {
      expect(words(`curl ${quoted(word)}`)).toEqual([word])
    }
  })
})

describe('curlOf', () => {
  it('asks by GET with a query', () => {
    const command = curlOf(
      {
        method: 'GET',
        query: [
          ['user_id', '293'],
          ['category', "Children's"],
          ['exclude', '1,2'],
        ],
      },
      'http://localhost:8001',
    )
    // encodeURIComponent leaves ' as it is
    expect(command).toBe(
      `curl -sS 'http://localhost:8001/recommend?user_id=293&category=Children'\\''s&exclude=1,2'`,
    )
    expect(words(command)[1]).toBe(
      "http://localhost:8001/recommend?user_id=293&category=Children's&exclude=1,2",
    )
  })

  it('asks by POST with a body', () => {
    const body = { events: [{ item_id: "o'brien $x" }], k: 3 }
    const command = curlOf({ method: 'POST', body }, 'http://localhost:8001')
    expect(words(command)).toEqual([
      '-sS',
      'http://localhost:8001/recommend',
      '-H',
      'Content-Type: application/json',
      '-d',
      JSON.stringify(body),
    ])
  })
})

it('writes queries that a server reads back', () => {
  const pairs: [string, string][] = [
    ['category', 'Sci-Fi & more'],
    ['exclude', 'a,b'],
    ['user_id', 'ä+%'],
  ]
  expect([...new URLSearchParams(queryString(pairs))]).toEqual(pairs)
})
