// Package awshost is what a server does because it runs on a machine of AWS:
// it reads its secrets from Secrets Manager, tells its Auto Scaling group when
// it is ready and when it has drained, and notices when AWS is about to take
// the machine. All of it goes by the machine's role; nothing is configured on
// it by hand.
package awshost
