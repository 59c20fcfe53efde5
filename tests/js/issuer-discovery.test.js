// Libraries for clients of OAuth 2.0 find the real issuer by its metadata, and use it.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createVerifier } from 'countersign'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import { AUDIENCE } from './support/demo.js'
import { logIn, startIssuer } from './support/issuer.js'

const FIRST_PARTY = 'client_first_party'

// The RFC's place for an issuer with a path differs from that of OpenID Connect.
for (const path of ['', '/auth', '/tenants/one/']) {
  describe(`an issuer with the path "${path}"`, () => {
    let issuer, worker

    before(async () => {
      issuer = await startIssuer({ path })
      worker = JSON.parse(await issuer.run(['client', 'add', 'worker', '--scope', 'read write', '--json']))
    })
    after(() => issuer?.stop())

    for (const algorithm of ['oauth2', 'oidc']) {
      test(`openid-client, by ${algorithm}: a session is refreshed and revoked`, async () => {
        const config = await client.discovery(new URL(issuer.url), FIRST_PARTY, undefined, client.None(), {
          algorithm, execute: [client.allowInsecureRequests],
        })
        const { refresh_token: first } = await logIn(issuer.url.replace(/\/$/, ''))
        const { access_token, refresh_token, token_type, expires_in } = await client.refreshTokenGrant(config, first)
        assert.deepEqual([token_type, expires_in], ['bearer', 900])
        const verifier = await createVerifier({ issuer: issuer.url, audience: AUDIENCE, jwks: config.serverMetadata().jwks_uri })
        const { payload } = await verifier.verify(access_token)
        assert.equal(payload.client_id, FIRST_PARTY)
        await client.tokenRevocation(config, refresh_token)
        await assert.rejects(client.refreshTokenGrant(config, refresh_token), { error: 'invalid_grant' })
      })

      for (const [name, authentication] of Object.entries({ Basic: client.ClientSecretBasic, post: client.ClientSecretPost })) {
        test(`openid-client, by ${algorithm}: a client authenticates by ${name}`, async () => {
          const { client_id, client_secret } = worker
          const config = await client.discovery(new URL(issuer.url), client_id, client_secret, authentication(client_secret), {
            algorithm, execute: [client.allowInsecureRequests],
          })
          const { access_token, scope } = await client.clientCredentialsGrant(config, { scope: 'read' })
          assert.equal(scope, 'read')
          const { active, client_id: subject } = await client.tokenIntrospection(config, access_token)
          assert.deepEqual({ active, subject }, { active: true, subject: client_id })
        })
      }

      test(`oauth4webapi, by ${algorithm}: a session is refreshed, a client gets a token, and both are verified`, async () => {
        const insecure = { [oauth.allowInsecureRequests]: true }
        const url = new URL(issuer.url)
        const server = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm, ...insecure }))
        assert.equal(server.issuer, issuer.url)

        const page = { client_id: FIRST_PARTY }
        const { refresh_token } = await logIn(issuer.url.replace(/\/$/, ''))
        const refreshed = await oauth.refreshTokenGrantRequest(server, page, oauth.None(), refresh_token, insecure)
        const { access_token: ofUser } = await oauth.processRefreshTokenResponse(server, page, refreshed)

        const program = { client_id: worker.client_id }
        const authentication = oauth.ClientSecretBasic(worker.client_secret)
        const granted = await oauth.clientCredentialsGrantRequest(server, program, authentication, {}, insecure)
        const { access_token: ofClient } = await oauth.processClientCredentialsResponse(server, program, granted)

        for (const token of [ofUser, ofClient]) {
          const request = new Request('https://api.example/', { headers: { authorization: `Bearer ${token}` } })
          const claims = await oauth.validateJwtAccessToken(server, request, AUDIENCE, insecure)
          assert.equal(claims.iss, issuer.url)
        }
      })
    }
  })
}
