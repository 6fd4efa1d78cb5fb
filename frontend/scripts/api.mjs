// Types of the three services, from their OpenAPI documents: docs/openapi/*.json -> src/api/schema/*.d.ts
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import openapiTS, { astToString } from 'openapi-typescript'

const documents = new URL('../../docs/openapi/', import.meta.url)
const types = new URL('../src/api/schema/', import.meta.url)

await mkdir(types, { recursive: true })
for (const service of ['ingest', 'recommender', 'console']) {
  const text = astToString(await openapiTS(new URL(`${service}.json`, documents)))
  const file = new URL(`${service}.d.ts`, types)
  const before = await readFile(file, 'utf8').catch(() => '')
  if (text !== before) await writeFile(fileURLToPath(file), text)
}
