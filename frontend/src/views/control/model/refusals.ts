/** Why an act by hand did not happen, in words that say what to do. */
import { ApiError } from '@/api/client'

export function refusal(error: unknown): string {
  if (!(error instanceof ApiError)) return `It did not happen: ${String(error)}`
  switch (error.status) {
    case 401:
      return 'The key is not the right one. Type FRESHET_ADMIN_KEY of the recommender.'
    case 403:
      return `Nobody may: ${error.message}.`
    case 404:
      return `There is no such version: ${error.message}.`
    case 409:
      return `Not possible now: ${error.message}.`
    case 503:
      return `Done in part, or not at all: ${error.message}.`
    case 0:
      return 'The recommender does not answer. Whether it happened, the history below will show.'
    default:
      return `It did not happen (${error.status}): ${error.message}.`
  }
}
