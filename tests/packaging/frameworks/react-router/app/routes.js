import { route } from '@react-router/dev/routes'

export default [route('conform', './routes/conform.js')]
