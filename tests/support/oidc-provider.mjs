// An OpenID Connect provider of its own making (npm: oidc-provider), for one test. Arguments: port, address to come back to.
import { Provider } from 'oidc-provider';

const [port, back] = process.argv.slice(2);
const groups = { noor: ['storm-desk'], stranger: ['cleaning'] };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'stormdesk', client_secret: 'a secret that only a test uses', redirect_uris: [back] }],
  pkce: { required: () => true },
  claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'groups'], email: ['email'] },
  cookies: { keys: ['a key that only a test uses'] },
  async findAccount(_, id) {
    return {
      accountId: id,
      claims: () => ({ sub: id, name: `${id} from the provider`, preferred_username: id, groups: groups[id] ?? [] }),
    };
  },
});
provider.listen(port, '127.0.0.1', () => console.log('listening'));
