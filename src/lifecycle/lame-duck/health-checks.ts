import type net from 'node:net';
import { transportSocket } from '../../connection/tls/sockets.ts';

/** Those who ask for nothing but our health, by their names in User-Agent: kubelet, Amazon's and Google's load balancers. */
const PROBERS = /^(?:kube-probe|ELB-HealthChecker|GoogleHC)\//;

const checks = new WeakSet<net.Socket>();

/** The connection is a health check's: no client whom the service would have to wait for. */
export function noteHealthCheck(socket: net.Socket): void {
  checks.add(transportSocket(socket));
}

export function isHealthCheck(transport: net.Socket): boolean {
  return checks.has(transport);
}

/** Whether a request comes from a prober that says so. */
export function isProber(userAgent: string | undefined): boolean {
  return userAgent !== undefined && PROBERS.test(userAgent);
}
