/** Returns the page that shows the mails, newest first. */
export function mailboxPage(mails) {
  const items = mails.map(({ to, subject, text, link, at }) => `
      <li class="card">
        <h2>${escape(subject)}</h2>
        <p class="quiet">to ${escape(to)}, at <time datetime="${at.toISOString()}">${at.toISOString().slice(11, 19)} UTC</time></p>
        <p>${escape(text)}</p>
        <p><a class="button" href="${escape(link)}">Choose a password</a></p>
      </li>`)
  const list = items.length === 0 ? '<p>There are no mails.</p>' : `<ol class="mails">${items.join('')}\n    </ol>`
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Mailbox</title>
    <link rel="icon" href="/favicon.svg">
    <link rel="stylesheet" href="/style.css">
  </head>
  <body>
    <header>
      <p class="brand">Accounts</p>
    </header>
    <main>
      <h1>Mailbox</h1>
      <p class="quiet">The mails to all users, for the development of this application. <a href="/mailbox">Look again</a> or
        <a href="/">go to the application</a>.</p>
      ${list}
    </main>
  </body>
</html>
`
}

function escape(text) {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`)
}
