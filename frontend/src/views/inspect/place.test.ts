import { addressOf, apiPathOf, placeOf } from './place'

describe('placeOf', () => {
  it('reads users and items', () => {
    expect(placeOf('/inspect/users/42')).toEqual({ kind: 'user', id: '42' })
    expect(placeOf('/inspect/items/50/')).toEqual({ kind: 'item', id: '50' })
  })

  it('finds none in the chooser and in other addresses', () => {
    for (const path of ['/inspect', '/inspect/', '/inspect/users', '/inspect/users/', '/inspect/cats/1']) {
      expect(placeOf(path)).toBeNull()
    }
  })

  it('takes a bare % as it stands', () => {
    expect(placeOf('/inspect/items/100%')).toEqual({ kind: 'item', id: '100%' })
  })

  it('comes back from its own address, whatever the id holds', () => {
    for (const id of ['7', 'visitor-1f', 'a%2Fb', 'ä?#&=+', "o'brien"]) {
      expect(placeOf(addressOf({ kind: 'item', id }))).toEqual({ kind: 'item', id })
    }
  })
})

it('names the row of the plain API', () => {
  expect(apiPathOf({ kind: 'user', id: 'a?b' })).toBe('/users/a%3Fb/features')
})
