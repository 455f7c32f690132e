export { upAttached as runDashboard } from '../commands/up-attached.ts';
