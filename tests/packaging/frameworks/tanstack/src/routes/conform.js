import { createFileRoute } from '@tanstack/react-router'
import { answer } from '../../answer.js'

export const Route = createFileRoute('/conform')({ server: { handlers: { GET: answer } } })
