import { useLocation } from 'wouter'
import { Chooser } from './Chooser'
import { Inspector } from './Inspector'
import { placeOf } from './place'

/** View 3: a row of the online store under the glass. */
export default function View() {
  const [path] = useLocation()
  const place = placeOf(path)
  return place ? <Inspector place={place} key={path} /> : <Chooser />
}
