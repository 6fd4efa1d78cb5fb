import { Badge, Group, Text } from '@mantine/core'
import cards from '../control.module.css'
import { percent } from '../numbers'
import { useExperiments } from '../queries'
import { Asked, Nothing, Section } from '../Section'
import { StateMark } from '../StateMark'
import classes from './experiments.module.css'
import { place, type Scale, scaleOf } from './scale'
import {
  type Experiment,
  METRICS,
  type Metric,
  type Rate,
  rateOf,
  resultOf,
  treatment,
  type Variant,
  versusWords,
} from './words'

const COMMAND = `cat > calm.json <<'EOF'
{"name": "calm-lists", "metric": "ctr", "variants": [
  {"name": "control", "share": 0.5},
  {"name": "diverse", "share": 0.5, "rules": {"diversity": 0.3}}]}
