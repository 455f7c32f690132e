// A browser in namespaces of a test: `node visit.ts chromium|firefox ROOT HOME URL EXPRESSION [ARGUMENT…]` prints what the expression gives in the
// page, as JSON.
import { launchChromium, launchFirefox } from '../browsers.ts';

const [name, root = '', home = '', url = '', expression = '', ...args] = process.argv.slice(2);
const page = await (name === 'firefox' ? launchFirefox : launchChromium)({ root, home, args });
try {
  await page.open(url);
  process.stdout.write(`${JSON.stringify(await page.evaluate(expression))}\n`);
} finally {
  await page.close();
}
