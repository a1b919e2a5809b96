export { GuestBook } from './guest-book.ts'
