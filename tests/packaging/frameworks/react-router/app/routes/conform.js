export { answer as loader } from '../../answer.js'
