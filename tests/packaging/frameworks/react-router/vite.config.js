import { reactRouter } from '@react-router/dev/vite'
import { defineConfig } from 'vite'

// Vite's dev server cannot inline React.
export default defineConfig(({ command }) => ({
  plugins: [reactRouter()],
  ssr: { noExternal: command === 'build' ? true : undefined },
}))
