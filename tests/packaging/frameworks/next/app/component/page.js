import { connection } from 'next/server'
import { answer } from '../../answer.js'

export default async function Page() {
  await connection()
  const response = await answer()
  return <p>{await response.text()}</p>
}
