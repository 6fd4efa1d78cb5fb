import { render, screen, within } from '@testing-library/react'
import type { RecommendAnswer } from '@/api/hooks'
import { Reasons } from './Why'

const answer = { fallback: 'popular', model_version: 'm1', variant: null } as RecommendAnswer
const item = { item_id: '1', title: 'Toy Story', score: 2.5, source: 'retriever' }

test('the bars are a table of features and what each moved', () => {
  render(
    <Reasons
      item={{
        ...item,
        reasons: ['rising this week'],
        contributions: { trending_score: 0.4, retriever_score: -1.5 },
      }}
      answer={answer}
      listed
    />,
  )
  expect(screen.getByText('rising this week')).toBeInTheDocument()
  const rows = within(screen.getByRole('table', { name: /moved the score/ }))
    .getAllByRole('row')
    .slice(1)
  expect(rows.map((row) => row.textContent)).toEqual(['Fits your taste now−1.50', 'Rising+0.40'])
})

test('what no model ranked says so, and what to do', () => {
  render(<Reasons item={item} answer={answer} listed={false} />)
  expect(screen.queryByRole('table')).toBeNull()
  expect(screen.getByText(/what many like, because nothing is known of this user yet/)).toBeInTheDocument()
  expect(screen.getByText(/not in the list for you now/)).toBeInTheDocument()
})
