// SPDX-License-Identifier: GPL-2.0
/* See net_shim.h. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/sched.h>
#include <net/netdev_rx_queue.h>
#include "net_shim.h"

const void *side_skb_frag(const struct sk_buff *skb, u32 n, u32 *len)
{
	const skb_frag_t *frag = &skb_shinfo(skb)->frags[n];

	*len = skb_frag_size(frag);
	return skb_frag_address(frag);
}

struct sk_buff *side_netdev_alloc_skb(struct net_device *dev, u32 len)
{
	return netdev_alloc_skb(dev, len);
}

void side_skb_in_progress(struct sk_buff *skb)
{
	skb_shinfo(skb)->tx_flags |= SKBTX_IN_PROGRESS;
}

void side_skb_queue_init(struct sk_buff_head *list)
{
	skb_queue_head_init(list);
}

u32 side_skb_queue_len(const struct sk_buff_head *list)
{
	return skb_queue_len_lockless(list);
}

struct sk_buff *side_skb_get(struct sk_buff *skb)
{
	return skb_get(skb);
}

void side_skb_receive(struct sk_buff *skb, struct net_device *dev,
		      const struct side_rx_meta *meta)
{
	skb->protocol = eth_type_trans(skb, dev);
	skb->ip_summed = meta->checked ? CHECKSUM_UNNECESSARY : CHECKSUM_NONE;
	if (meta->hash_type)
		skb_set_hash(skb, meta->hash,
			     meta->hash_type == 2 ? PKT_HASH_TYPE_L4 : PKT_HASH_TYPE_L3);
	if (meta->has_vlan)
		__vlan_hwaccel_put_tag(skb, (__force __be16)meta->vlan_proto, meta->vlan_tci);
	if (meta->hwtstamp)
		skb_hwtstamps(skb)->hwtstamp = meta->hwtstamp;
	if (meta->queue < dev->real_num_rx_queues)
		skb_record_rx_queue(skb, meta->queue);
}

netdev_features_t side_features_check(const struct sk_buff *skb, netdev_features_t features)
{
	if (skb->encapsulation)
		features &= ~(NETIF_F_CSUM_MASK | NETIF_F_GSO_MASK);
	return features;
}

void *side_netdev_priv(struct net_device *dev)
{
	return netdev_priv(dev);
}

u32 side_netdev_priv_flags(const struct net_device *dev)
{
	return dev->priv_flags;
}

void side_netdev_set_priv_flags(struct net_device *dev, u32 flags)
{
	dev->priv_flags |= flags;
}

struct netdev_queue *side_netdev_queue(struct net_device *dev, u32 n)
{
	return netdev_get_tx_queue(dev, n);
}

void side_txq_stop(struct netdev_queue *queue)
{
	netif_tx_stop_queue(queue);
}

bool side_txq_stopped(const struct netdev_queue *queue)
{
	return netif_tx_queue_stopped(queue);
}

bool side_txq_sent(struct net_device *dev, u32 n, u32 bytes, bool more)
{
	struct netdev_queue *queue = netdev_get_tx_queue(dev, n);
	bool before = netif_xmit_stopped(queue);

	__netdev_tx_sent_queue(queue, bytes, more);
	return !before && netif_xmit_stopped(queue);
}

void side_txq_completed(struct netdev_queue *queue, u32 packets, u32 bytes)
{
	netdev_tx_completed_queue(queue, packets, bytes);
}

bool side_xmit_more(void)
{
	return netdev_xmit_more();
}

void side_smp_mb(void)
{
	smp_mb();
}

u64 side_task(void)
{
	return (unsigned long)current;
}

/* As netif_queue_set_napi() with NULL, which asks for RTNL: burials have only the device's lock. */
void side_queue_forget_napi(struct net_device *dev, u32 n, bool tx)
{
	if (tx)
		WRITE_ONCE(netdev_get_tx_queue(dev, n)->napi, NULL);
	else
		WRITE_ONCE(__netif_get_rx_queue(dev, n)->napi, NULL);
}

void side_txq_reset(struct netdev_queue *queue)
{
	netdev_tx_reset_queue(queue);
}

void side_txq_touch(struct netdev_queue *queue)
{
	WRITE_ONCE(queue->trans_start, jiffies);
}

void side_txq_lock(struct netdev_queue *queue)
{
	__netif_tx_lock_bh(queue);
}

void side_txq_unlock(struct netdev_queue *queue)
{
	__netif_tx_unlock_bh(queue);
}

bool side_txq_trylock(struct netdev_queue *queue)
{
	return __netif_tx_trylock(queue);
}

void side_txq_unlock_only(struct netdev_queue *queue)
{
	__netif_tx_unlock(queue);
}

bool side_txq_held_up(const struct netdev_queue *queue)
{
	return netif_xmit_frozen_or_drv_stopped(queue);
}

void side_netif_addr_lock(struct net_device *dev)
{
	netif_addr_lock_bh(dev);
}

void side_netif_addr_unlock(struct net_device *dev)
{
	netif_addr_unlock_bh(dev);
}

bool side_netif_running(const struct net_device *dev)
{
	return netif_running(dev);
}
