import { moveInWords, moves, movesInWords } from './moves'

test('tells what came and what rose, and by how much', () => {
  const told = moves(['a', 'b', 'c', 'd'], ['d', 'a', 'x'])
  expect([...told]).toEqual([
    ['d', { kind: 'up', by: 3 }],
    ['x', { kind: 'new' }],
  ])
  expect([...told.values()].map(moveInWords)).toEqual(['up 3', 'new here'])
  expect(movesInWords(told)).toBe('The list changed: 1 new, 1 moved up.')
})

test('the first list has no marks, and neither has the same again', () => {
  expect(moves([], ['a']).size).toBe(0)
  expect(movesInWords(moves(['a', 'b'], ['a', 'b']))).toBe('The list kept its order.')
})
